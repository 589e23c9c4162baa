# A kind node without a registry: kind's own files on a Debian, with the programs of hack/binaries.sh; the images that
# kubeadm wants come in by hack/node.sh. The result is what kindest/node would be; hack/node/Dockerfile comes on top of
# either.
ARG DEBIAN
FROM ${DEBIAN}
COPY files/usr/local/bin/ /usr/local/bin/
COPY files/kind/ /kind/
COPY files/etc/ /etc/
COPY bin/ /usr/local/bin/
COPY cni/ /opt/cni/bin/
ARG KUBERNETES
# As in kind's own image: none of Debian's units but those of a node, no kernel log in the journal, and an OCI base spec
# that shows containers a product name of their own.
RUN mv /usr/local/bin/kubelet /usr/local/bin/kubeadm /usr/local/bin/kubectl /usr/bin/ \
 && chmod 755 /kind /kind/bin /kind/bin/* /usr/local/bin/* \
 && rm -f /lib/systemd/system/multi-user.target.wants/* /etc/systemd/system/*.wants/* \
      /lib/systemd/system/local-fs.target.wants/* /lib/systemd/system/basic.target.wants/* \
      /lib/systemd/system/sockets.target.wants/*udev* /lib/systemd/system/sockets.target.wants/*initctl* \
      /lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service \
 && echo ReadKMsg=no >>/etc/systemd/journald.conf \
 && systemctl enable kubelet.service containerd.service undo-mount-hacks.service \
 && systemctl mask systemd-binfmt.service \
 && mkdir -p /etc/kubernetes/manifests /kind/manifests \
 && echo "$KUBERNETES" >/kind/version \
 && ctr oci spec \
    | jq 'del(.process.rlimits) | .hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}]' \
      >/etc/containerd/cri-base.json

ENV container=docker
STOPSIGNAL SIGRTMIN+3
ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]
