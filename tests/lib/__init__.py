"""What the black-box tests are made of: bearerd itself, clients that speak raw
SMTP to it, providers that misbehave on demand, token servers, real peers."""
