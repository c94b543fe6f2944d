"""A simulated provider in the place of the real one, for people who sign in too."""


def places(sim, provider, **more):
    """Options of bearerd; `provider` is gmail or outlook."""
    base = "https://localhost:%d" % sim.http
    paths = {"outlook": {"token_url": "/common/oauth2/v2.0/token",
                         "authorize_url": "/common/oauth2/v2.0/authorize",
                         "device_url": "/common/oauth2/v2.0/devicecode"},
             "gmail": {"token_url": "/token", "authorize_url": "/o/oauth2/v2/auth"}}[provider]
    conf = {"providers.%s.%s" % (provider, key): base + path for key, path in paths.items()}
    conf["providers.%s.smtp_endpoint" % provider] = "localhost:%d" % sim.port
    conf["providers.%s.domains" % provider] = "example.test"
    return dict(conf, **more)


def app(sim, provider, name):
    """The simulator's client of that name as the application `ours`."""
    client = sim.client(name)
    return dict({"apps.ours.provider": provider, "apps.ours.client_id": client["client_id"]},
                **({"apps.ours.client_secret": client["client_secret"]}
                   if client.get("client_secret") else {}))
