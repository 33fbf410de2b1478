# Not built in CI: the build machines run no container engine. Builds with `docker build -t muster .`
FROM node:26-bookworm-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends python3 make g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /muster
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM node:26-bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends softhsm2 ca-certificates && rm -rf /var/lib/apt/lists/*
WORKDIR /muster
COPY --from=build /muster/node_modules node_modules
COPY package.json LICENSE ./
COPY core core
COPY protocols protocols
COPY devices devices
COPY server server
COPY config config
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 8080 8443 8444 9443
ENV NODE_ENV=production
HEALTHCHECK --interval=10s --timeout=3s CMD ["node", "-e", "fetch('http://127.0.0.1:8080/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "--max-semi-space-size=8", "--heap-growing-percent=20", "server/main.ts"]
CMD ["--data", "/data"]
