# The image of a release: the same as that of Dockerfile, from the binaries that
# GoReleaser has built. .ci/ship builds and runs it.
FROM scratch
ARG TARGETPLATFORM
COPY dist/generated/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY deploy/docker/passwd /etc/passwd
COPY $TARGETPLATFORM/dane_exporter /dane_exporter
USER 65534:65534
EXPOSE 10125
# If --web.config.file or --web.route-prefix changes the URL, pass it to healthy with
# --url. The help of healthy lists the flags for authentication and TLS.
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["/dane_exporter", "healthy"]
ENTRYPOINT ["/dane_exporter"]
CMD ["serve"]
