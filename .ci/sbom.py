"""Write what the pinned environment is made of, as a CycloneDX document: python .ci/sbom.py FILE."""

from __future__ import annotations

import re
import sys
from importlib import metadata
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)((?: \\\n +--hash=sha256:[0-9a-f]{64})*)", re.MULTILINE)


def components() -> list[Component]:
    """One per pin that is installed, with the hashes of its files and its own word on its licence."""
    found = []
    for name, version, hashes in PIN.findall((ROOT / "constraints.txt").read_text()):
        try:
            about = metadata.metadata(name)
        except metadata.PackageNotFoundError:
            continue  # pinned for another platform
        text = about.get("License-Expression") or about.get("License", "").splitlines()[:1]
        licence = text if isinstance(text, str) else "".join(text)
        found.append(
            Component(
                name=name,
                version=version,
                type=ComponentType.LIBRARY,
                bom_ref=f"{name}=={version}",
                purl=PackageURL("pypi", name=name, version=version),
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=x) for x in re.findall(r"sha256:(\w+)", hashes)],
                licenses=[DisjunctiveLicense(name=licence)] if licence else None,
            )
        )
    return found


def main() -> None:
    """Write the document."""
    project = Component(name="hybrid-snn", version=metadata.version("hybrid-snn"), type=ComponentType.APPLICATION)
    bom = Bom(components=components())
    bom.metadata.component = project
    bom.register_dependency(project, bom.components)
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_5).output_to_file(
        str(target), allow_overwrite=True, indent=1
    )
    print(f"{target}: {len(bom.components)} components")


if __name__ == "__main__":
    main()
