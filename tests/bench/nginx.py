"""The pair that ours is measured against: two nginx in front of the same backend, mutual TLS 1.3 between them.

It is set up as well as it can be for this: keep-alive everywhere, no logs, bodies in memory, TLS sessions resumed, connections
that are never closed for age, workers that share the listening port evenly.
"""

import signal
import subprocess
import time
from pathlib import Path

CONFIG = """
daemon off;
master_process on;
worker_processes {workers};
pid {dir}/nginx.pid;
error_log {dir}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off;
  tcp_nodelay on;
  client_max_body_size 16m;
  client_body_buffer_size 256k;
  http2_max_concurrent_streams 1024;
  http2_recv_buffer_size 1m;
  http2_chunk_size 16k;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  upstream next {{
    server {upstream};
    keepalive 512;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
  }}
  grpc_buffer_size 128k;
  grpc_socket_keepalive on;
  server {{
    listen 127.0.0.1:{port} {listen} http2 reuseport backlog=1024;
    {tls}
    location / {{ grpc_pass {scheme}://next; }}
  }}
}}
"""

CONSUMER_TLS = """
    grpc_ssl_protocols TLSv1.3;
    grpc_ssl_certificate {keys}/client.pem;
    grpc_ssl_certificate_key {keys}/client.key;
    grpc_ssl_trusted_certificate {keys}/ca.pem;
    grpc_ssl_verify on;
    grpc_ssl_name localhost;
    grpc_ssl_server_name on;
    grpc_ssl_session_reuse on;
"""

PROVIDER_TLS = """
    ssl_protocols TLSv1.3;
    ssl_certificate {keys}/server.pem;
    ssl_certificate_key {keys}/server.key;
    ssl_client_certificate {keys}/ca.pem;
    ssl_verify_client on;
    ssl_session_cache shared:tls:10m;
"""


def make_keys(keys: Path) -> Path:
    """P-256 keys and certificates, as the nodes have."""
    keys.mkdir()
    p256 = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(keys, "req", "-x509", *p256, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    for name in ("server", "client"):
        openssl(keys, "req", *p256, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (keys / f"{name}.ext").write_text(f"subjectAltName=DNS:localhost\nextendedKeyUsage={name}Auth\n")
        openssl(keys, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
                "-extfile", f"{name}.ext", "-out", f"{name}.pem")
    return keys


def openssl(cwd: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


class Pair:
    """Two running nginx. `url` is the door of the first; `pids()` are all processes of both."""

    def __init__(self, work: Path, keys: Path, ports: tuple[int, int], backend: str, workers: int):
        self.workers = workers
        self.url = f"http://127.0.0.1:{ports[0]}"
        consumer = dict(port=ports[0], listen="", scheme="grpcs", upstream=f"127.0.0.1:{ports[1]}", tls=CONSUMER_TLS)
        provider = dict(port=ports[1], listen="ssl", scheme="grpc", upstream=backend, tls=PROVIDER_TLS)
        self._processes = []
        try:
            for name, settings in (("consumer", consumer), ("provider", provider)):
                self._processes.append(self._start(work / f"nginx-{workers}-{name}", keys, settings))
        except BaseException:
            self.stop()
            raise

    def _start(self, where: Path, keys: Path, settings: dict) -> subprocess.Popen:
        where.mkdir()
        settings["tls"] = settings["tls"].format(keys=keys)
        config = where / "nginx.conf"
        config.write_text(CONFIG.format(dir=where, workers=self.workers, **settings))
        process = subprocess.Popen(["nginx", "-p", str(where), "-c", str(config), "-e", str(where / "error.log")])
        deadline = time.monotonic() + 10
        while len(children(process.pid)) < self.workers:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not start: {(where / 'error.log').read_text()}")
            time.sleep(0.05)
        return process

    def pids(self) -> list[int]:
        return [pid for process in self._processes for pid in (process.pid, *children(process.pid))]

    def stop(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            process.wait(timeout=20)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
