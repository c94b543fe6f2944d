"""The admin API as a program calls it."""
import json
import urllib.error
import urllib.request


class Api:
    def __init__(self, port):
        self.base = "http://127.0.0.1:%d" % port

    def _open(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data,
                                         {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def call(self, method, path, body=None):
        """Status and JSON, whatever the status is."""
        status, text = self._open(method, path, body)
        return status, json.loads(text)

    def get(self, path):
        status, answer = self.call("GET", path)
        assert status == 200, answer
        return answer

    def text(self, path):
        status, text = self._open("GET", path)
        assert status == 200, text
        return text
