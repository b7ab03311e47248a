//! Wire format and process control of PID 1 in a sandbox.
