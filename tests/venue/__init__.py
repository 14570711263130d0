"""A venue to test against that keeps its own account of what it was asked and what it did: the judge of the laws."""
