"""What the SLO files of these tests have in common."""

from __future__ import annotations

HEAD = """\
apiVersion: guard/v1
service: auth
owner: team
workloads:
  - kubernetes: {namespace: shop, deployment: auth}
"""
