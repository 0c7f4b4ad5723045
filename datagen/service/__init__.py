"""A build that runs elsewhere, or every night: as a job of a Ray cluster, or as manifests of Kubernetes."""
