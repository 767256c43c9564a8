"""`halfkey load`: a Media Distributor under measured load, and what can't be saved beside it."""
