# ninvk with Lavapipe, Mesa's Vulkan driver for CPUs, so that it runs anywhere; docs/container.md tells how to use it, and
# how it gets at a GPU. `make container` builds it.
FROM golang:1.26-bookworm AS build
WORKDIR /src
# The modules are a layer of their own, which a change of the code leaves as it is.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# What is put into the image is the archive that is handed on elsewhere too, with the licences of all that is linked.
RUN ci/dist.sh \
	&& mkdir /program \
	&& tar -xzf bin/dist/ninvk-*.tar.gz --strip-components 1 -C /program

FROM debian:bookworm-slim
# Mesa's package has the drivers of Intel's and AMD's GPUs beside Lavapipe; certificates are for `ninvk data fetch`.
RUN apt-get update \
	&& apt-get install -y --no-install-recommends ca-certificates libvulkan1 mesa-vulkan-drivers \
	&& rm -rf /var/lib/apt/lists/* \
	&& mkdir -m 1777 /data /cache
COPY --from=build /program /opt/ninvk
RUN ln -s /opt/ninvk/ninvk /usr/local/bin/ninvk
# NVIDIA's runtime brings the driver in; without the word graphics it leaves Vulkan out.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,graphics,utility
# Whoever runs it, the program finds a place for what it keeps: unpacked archives, compiled and chosen kernels.
ENV XDG_CACHE_HOME=/cache
# A folder of the host's is mounted here.
WORKDIR /data
ENTRYPOINT ["ninvk"]
CMD ["--help"]
