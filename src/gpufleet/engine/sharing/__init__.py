"""How a fleet is shared: quota trees that lend, preemption, fair shares, the admission cycle."""
