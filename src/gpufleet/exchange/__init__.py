"""Files of other systems, in and out: cases of quota decisions, shipments and rules of export law."""
