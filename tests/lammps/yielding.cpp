// MPI whose waits let others run, for tests of more ranks than there are idle cores: MPICH looks for
// messages without a pause, and on a busy machine a rank that waits takes the core that the message's
// sender needs. To be loaded before the MPI library (LD_PRELOAD); MPI's standard provides for it (the
// profiling interface: each MPI_X is also there as PMPI_X).
#include <mpi.h>
#include <unistd.h>

namespace {
// A call to sched_yield() would not do: ranks have sessions of their own, each with its share of the
// processor (autogroups), and yield to nobody in another one.
struct Patience {
  int looked = 0;
  void operator()() {
    if (++looked > 100) usleep(20);
  }
};

int wait_for(MPI_Request *request, MPI_Status *status) {
  Patience patience;
  for (int done = 0;;) {
    const int error = PMPI_Test(request, &done, status);
    if (error != MPI_SUCCESS || done) return error;
    patience();
  }
}

template <class Start>
int blocking(Start start, MPI_Status *status = MPI_STATUS_IGNORE) {
  MPI_Request request;
  const int error = start(&request);
  return error == MPI_SUCCESS ? wait_for(&request, status) : error;
}
}  // namespace

extern "C" {
int MPI_Wait(MPI_Request *request, MPI_Status *status) { return wait_for(request, status); }

int MPI_Waitall(int n, MPI_Request *requests, MPI_Status *statuses) {
  Patience patience;
  for (int done = 0;;) {
    const int error = PMPI_Testall(n, requests, &done, statuses);
    if (error != MPI_SUCCESS || done) return error;
    patience();
  }
}

int MPI_Waitany(int n, MPI_Request *requests, int *which, MPI_Status *status) {
  Patience patience;
  for (int done = 0;;) {
    const int error = PMPI_Testany(n, requests, which, &done, status);
    if (error != MPI_SUCCESS || done) return error;
    patience();
  }
}

int MPI_Send(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm) {
  return blocking([&](MPI_Request *r) { return PMPI_Isend(data, n, type, to, tag, comm, r); });
}

int MPI_Recv(void *data, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Status *status) {
  return blocking([&](MPI_Request *r) { return PMPI_Irecv(data, n, type, from, tag, comm, r); }, status);
}

int MPI_Sendrecv(const void *out, int n_out, MPI_Datatype type_out, int to, int tag_out, void *in, int n_in,
                 MPI_Datatype type_in, int from, int tag_in, MPI_Comm comm, MPI_Status *status) {
  MPI_Request requests[2];
  int error = PMPI_Irecv(in, n_in, type_in, from, tag_in, comm, &requests[0]);
  if (error == MPI_SUCCESS) error = PMPI_Isend(out, n_out, type_out, to, tag_out, comm, &requests[1]);
  if (error == MPI_SUCCESS) error = wait_for(&requests[0], status);
  return error == MPI_SUCCESS ? wait_for(&requests[1], MPI_STATUS_IGNORE) : error;
}

int MPI_Barrier(MPI_Comm comm) {
  return blocking([&](MPI_Request *r) { return PMPI_Ibarrier(comm, r); });
}

int MPI_Bcast(void *data, int n, MPI_Datatype type, int root, MPI_Comm comm) {
  return blocking([&](MPI_Request *r) { return PMPI_Ibcast(data, n, type, root, comm, r); });
}

int MPI_Allreduce(const void *in, void *out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  return blocking([&](MPI_Request *r) { return PMPI_Iallreduce(in, out, n, type, op, comm, r); });
}

int MPI_Reduce(const void *in, void *out, int n, MPI_Datatype type, MPI_Op op, int root, MPI_Comm comm) {
  return blocking([&](MPI_Request *r) { return PMPI_Ireduce(in, out, n, type, op, root, comm, r); });
}

int MPI_Scan(const void *in, void *out, int n, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  return blocking([&](MPI_Request *r) { return PMPI_Iscan(in, out, n, type, op, comm, r); });
}

int MPI_Allgather(const void *in, int n_in, MPI_Datatype type_in, void *out, int n_out, MPI_Datatype type_out,
                  MPI_Comm comm) {
  return blocking(
      [&](MPI_Request *r) { return PMPI_Iallgather(in, n_in, type_in, out, n_out, type_out, comm, r); });
}
}
