"""Routes for sidecars and flows. Each only reads the request, calls one use case and writes its answer."""
