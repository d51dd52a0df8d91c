"""`x1 cluster`: the product on Kubernetes, by ordinary manifests and `kubectl`. infra/k8s holds the manifests."""
