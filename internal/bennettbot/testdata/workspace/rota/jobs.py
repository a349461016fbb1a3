import os
from workspace.tools import blocks

print(os.environ["ROTA_SHEET"], os.getenv("GCP_CREDENTIALS_PATH"), os.environ.get("HOME"))
