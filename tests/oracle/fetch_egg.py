#!/usr/bin/env python3
"""fetch_egg.py NAME VERSION FOLDER: fetches a package's binary egg for Python 2.7, which pip no longer understands, with the index client of
an old setuptools, from the index that pip is configured to use."""
import os
import subprocess
import sys

import pkg_resources
from setuptools import package_index


def configured_index():
    """What pip would ask, or None for the client's own default."""
    if url := os.environ.get("PIP_INDEX_URL"):
        return url
    pip = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    found = subprocess.run(pip, capture_output=True, text=True, check=False)
    return found.stdout.strip() if found.returncode == 0 else None


name, version, folder = sys.argv[1:4]
options = {"python": "2.7", "platform": "linux-x86_64"}
if url := configured_index():
    options["index_url"] = url
index = package_index.PackageIndex(**options)
requirement = pkg_resources.Requirement.parse(f"{name}=={version}")
index.find_packages(requirement)
eggs = [
    found
    for found in index[requirement.key]
    if found in requirement and found.precedence == pkg_resources.EGG_DIST
]
if not eggs:
    sys.exit(f"no egg of {requirement} for Python 2.7 in the configured index")
print(index.download(eggs[0].location, folder))
