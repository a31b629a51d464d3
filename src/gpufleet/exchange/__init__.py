"""Files of other systems, in and out: for now cases of quota decisions, with what those systems decide."""
