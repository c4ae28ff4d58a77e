"""The options of curl that the documents use, so that their commands run on a machine without curl.

`python -m tests.e2e.curl_command ARGUMENTS` sends one request and prints the answer. It exits with 22 for a status of
400 or more, as with `curl --fail`.
"""

import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener


def main(arguments: list[str]) -> int:
    """Sends the request that the arguments describe."""
    url, method, headers, body = "", "", {}, b""
    words = iter(arguments)
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d" | "--data-binary":
                given = next(words)
                body = Path(given[1:]).read_bytes() if given.startswith("@") else given.encode()
            case "-s" | "-g":
                continue
            case _:
                url = word
    request = Request(url, data=body or None, headers=headers, method=method or ("POST" if body else "GET"))
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=30) as answer:
            sys.stdout.write(answer.read().decode() + "\n")
    except HTTPError as error:
        sys.stdout.write(f"{error.code} {error.read().decode()}\n")
        return 22
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
