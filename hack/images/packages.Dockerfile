# What a component of ours stands on: a base with Python 3.11 and the packages of uv.lock that it needs, which
# hack/images.sh lays into packages/. Nothing here needs a network. An image of its own, so that a changed line of ours
# rebuilds nothing of this.
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
# Bytecode is made here, once, and never compared with its source again; a component starts where it cannot be written.
# The base's own library comes without it in Docker's python images. One process and no random order of sets: then the
# same source gives the same bytes.
RUN PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash \
      -x '/(test|idlelib|lib2to3|tkinter|ensurepip|(site|dist)-packages)/' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && printf '/isola/source\n/isola/packages\n' >"$(python3 -c 'import site; print(site.getsitepackages()[0])')/isola.pth"
COPY packages/ /isola/packages/
RUN PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash /isola/packages
