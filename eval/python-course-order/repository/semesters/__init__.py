"""Says in which semester each course can be taken at the earliest."""
