"""Money of a run: what is paid, received and written off, month by month, and out of which budgets."""
