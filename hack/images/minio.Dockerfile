# Object storage for the local cluster: MinIO as hack/binaries.sh builds it, and a bucket, which is a directory.
FROM scratch
COPY minio /minio
COPY --chown=65534:65534 data/ /data/
USER 65534:65534
ENTRYPOINT ["/minio", "server", "--quiet", "--address", ":9000", "/data"]
