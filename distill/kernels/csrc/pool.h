// Threads that wait between calls, and a barrier for those of one call.
#pragma once
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace distill {

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins for some microseconds, then yields: nobody's core is taken for long where there are more
// threads than cores.
class Barrier {
 public:
  explicit Barrier(int members) : members_(members), waiting_(members) {}
  void wait() {
    if (members_ == 1) return;
    const int phase = phase_.load(std::memory_order_acquire);
    if (waiting_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      waiting_.store(members_, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins)
      if (spins < 2000)
        relax();
      else
        std::this_thread::yield();
  }

 private:
  const int members_;
  std::atomic<int> waiting_, phase_{0};
};

class Pool {
 public:
  static Pool &shared() {
    // never destroyed: its threads may outlive static objects
    static Pool *pool = new Pool;
    static const int forks = pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
    (void)forks;  // threads are not forked: a child needs its own
    return *pool;
  }

  // work(k) for k in 0..threads-1, work(0) in the caller; one call at a time
  void run(int threads, const std::function<void(int)> &work) {
    if (threads <= 1) return work(0);
    std::lock_guard<std::mutex> one_call(calls_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (int(workers_.size()) < threads - 1) {
        const int k = int(workers_.size()) + 1;
        workers_.emplace_back([this, k, seen = round_.load()] { serve(k, seen); });
        workers_.back().detach();
      }
      work_ = &work;
      threads_ = threads;
      left_ = threads - 1;
      ++round_;
    }
    start_.notify_all();
    work(0);
    for (int k = 0; k < LOOKS && left_.load(std::memory_order_acquire); ++k) std::this_thread::yield();
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return left_ == 0; });
  }

 private:
  // In MD the next call comes soon, and to wake a sleeper takes 50 microseconds: so a thread looks
  // for about 100 before it sleeps, giving way to whoever wants its core.
  static constexpr int LOOKS = 300;

  void serve(int k, uint64_t seen) {
    for (;;) {
      const std::function<void(int)> *work;
      for (int look = 0; look < LOOKS && round_.load(std::memory_order_acquire) == seen; ++look)
        std::this_thread::yield();
      {
        std::unique_lock<std::mutex> lock(mutex_);
        start_.wait(lock, [&] { return round_ != seen; });
        seen = round_;
        if (k >= threads_) continue;
        work = work_;
      }
      (*work)(k);
      std::lock_guard<std::mutex> lock(mutex_);
      if (--left_ == 0) done_.notify_one();
    }
  }

  std::mutex calls_, mutex_;
  std::condition_variable start_, done_;
  std::vector<std::thread> workers_;
  const std::function<void(int)> *work_ = nullptr;
  int threads_ = 0;
  std::atomic<int> left_{0};  // changed under the mutex, as round_ is
  std::atomic<uint64_t> round_{0};
};

}  // namespace distill
