"""`python -m tests.reference`: writes the generated parts of docs/reference."""

import sys

from tests.reference.pages import write

sys.stdout.write("".join(f"docs/reference/{page}\n" for page in write()) or "nothing has changed\n")
