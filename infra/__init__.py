"""What brings the product up: on one machine, and on Kubernetes."""
