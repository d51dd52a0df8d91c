"""The stamp service, beside the app behind every preview's Ingress. It knows a key and no preview."""
