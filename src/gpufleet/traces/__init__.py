"""Job logs of other systems, read into one table of jobs. Start at `read_trace` in read.py."""
