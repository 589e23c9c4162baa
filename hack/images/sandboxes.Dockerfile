# Images to put into sandboxes: one with a Python and the usual tools, one without a shell or anything else.
ARG BASE_IMAGE
FROM ${BASE_IMAGE} AS sandbox-python
# A base made by hack/images.sh has both; one that was pulled has not, but then there is a network.
RUN command -v ps >/dev/null && test -x /bin/busybox \
 || (apt-get update && apt-get install -y --no-install-recommends procps busybox-static && rm -rf /var/lib/apt/lists/*)
CMD ["sleep", "infinity"]

FROM scratch AS sandbox-noshell
COPY --from=sandbox-python /bin/busybox /busybox
