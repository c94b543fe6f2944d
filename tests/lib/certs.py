"""A certificate authority for one test run, made with the openssl program."""
import ssl
import subprocess


def _openssl(*args):
    subprocess.run(["openssl", *args], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


class Certs:
    """`ca` is a trust store; `cert` and `key` are for localhost and 127.0.0.1."""

    def __init__(self, directory):
        self.directory = directory
        self.ca, self._ca_key = self._authority("ca")
        self.cert, self.key = self.issue("localhost", "DNS:localhost,IP:127.0.0.1,IP:::1")
        self.wrong_cert, self.wrong_key = self.issue("elsewhere", "DNS:elsewhere.example")
        self.other_ca, self._other_key = self._authority("other-ca")

    def _authority(self, name):
        cert, key = self.directory / (name + ".pem"), self.directory / (name + ".key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                 "-nodes", "-days", "2", "-subj", "/CN=bearerd tests " + name,
                 "-keyout", str(key), "-out", str(cert))
        return cert, key

    def issue(self, name, alt_names, days=2):
        """A certificate of our authority: (cert file, key file)."""
        key, request = self.directory / (name + ".key"), self.directory / (name + ".csr")
        cert, extension = self.directory / (name + ".pem"), self.directory / (name + ".ext")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", "/CN=" + name, "-keyout", str(key), "-out", str(request))
        extension.write_text("subjectAltName=%s\n" % alt_names)
        _openssl("x509", "-req", "-in", str(request), "-CA", str(self.ca), "-CAkey",
                 str(self._ca_key), "-CAcreateserial", "-days", str(days), "-extfile",
                 str(extension), "-out", str(cert))
        key.chmod(0o600)
        return cert, key

    def server_context(self, cert=None, key=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(cert or self.cert), str(key or self.key))
        return context

    def client_context(self):
        return ssl.create_default_context(cafile=str(self.ca))
