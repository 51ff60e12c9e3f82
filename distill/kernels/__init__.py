"""The fused CPU kernel: a student's energy and forces, and its training gradients, in C++."""
