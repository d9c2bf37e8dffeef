"""Multi-center training that finds harmful centers and samples: the travelling model."""
