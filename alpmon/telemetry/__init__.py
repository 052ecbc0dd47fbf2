"""What has been seen, and how it is shown to Prometheus."""
