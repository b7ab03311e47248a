"""When a club's members have to pay."""
