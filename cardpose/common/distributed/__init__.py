"""TODO map of cardpose.common.distributed."""
