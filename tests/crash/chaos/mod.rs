//! Random trouble.
