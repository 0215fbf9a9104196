"""Pain: what must not be missed, which mechanism the evidence speaks for, and what follows."""
