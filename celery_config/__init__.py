"""What all four services share. It imports no service and names them only in `common.services` and `contracts`."""
