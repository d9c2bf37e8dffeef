"""Open a case of an audit in Slicer, in the Quality Sentinel panel. Written into an audit's folder; run by Slicer.

    Slicer --python-script OUT/open_in_slicer.py -- CASE
    Slicer --python-script OUT/open_in_slicer.py -- --dataset FOLDER CASE
    Slicer --python-script OUT/open_in_slicer.py -- --ct CT --seg SEG [--names NAMES]

CASE is a name of the column "case" of cases.csv beside this script; FOLDER is where the data set lies now, when it is
no longer where it was audited. Of a DICOM data set the tables hold no paths: name CT and SEG. Images are loaded, nodes
are selected in the panel, and nothing is scored before Apply.
"""

import argparse
import csv
import json
import os
import sys


def main(words, out):
    """Load the case that ``words`` mean and show it in the panel; ``out`` is the audit's folder."""
    parser = argparse.ArgumentParser(prog="open_in_slicer.py", description=__doc__)
    for name in ("--dataset", "--ct", "--seg", "--names"):
        parser.add_argument(name, default="")
    parser.add_argument("case", nargs="*")
    options = parser.parse_args(words)
    problem = None if options.ct else look_up(options, options.case, out)
    options.ct, options.seg = map(os.path.abspath, (options.ct, options.seg))  # Slicer takes them as beside its scene
    for path in (options.ct, options.seg):
        if problem is None and not os.path.exists(path):
            problem = f"{path}: is not there; say with --dataset where the data set lies now"
    if problem:
        print(f"open_in_slicer: {problem}", file=sys.stderr)
        return None
    import slicer.util

    from QualitySentinelLib.errors import QualitySentinelError
    from QualitySentinelLib.reading import read_ct, read_segmentation
    from QualitySentinelLib.scene import add_ct, add_segmentation

    try:
        if not slicer.util.getModuleLogic("QualitySentinel").setupPythonRequirements():
            return None  # Slicer restarts first
        ct = read_ct(options.ct)
        volume = add_ct(ct)
        masks = read_segmentation(options.seg, ct, options.names or None)
        segmentation = add_segmentation(masks, slicer.util.loadSegmentation)
    except QualitySentinelError as error:
        slicer.util.errorDisplay(str(error))
        return None
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    slicer.util.selectModule("QualitySentinel")
    parameters = slicer.util.getModuleLogic("QualitySentinel").getParameterNode()
    parameters.inputVolume, parameters.inputSegmentation = volume, segmentation
    return volume, segmentation


def look_up(options, case, out):
    """Put the paths of the ``case`` (a list of one name) into ``options``; what is wrong, when there is something."""
    if len(case) != 1:
        return "give the name of one case: Slicer --python-script open_in_slicer.py -- CASE"
    from QualitySentinelLib.scores.tables import unescaped

    with open(os.path.join(out, "cases.csv"), encoding="utf-8-sig", newline="") as stream:
        row = next((row for row in csv.DictReader(stream) if unescaped(row["case"]) == case[0]), None)
    if row is None:
        return f"{case[0]}: no case of {out}; see the column 'case' of cases.csv"
    if not row.get("ct") or not row.get("seg"):
        return f"{case[0]}: the tables hold no paths of it; name them with --ct and --seg"
    try:
        with open(os.path.join(out, "audit.json"), encoding="utf-8") as stream:
            run = json.load(stream)
    except (OSError, ValueError):
        run = {}
    dataset = options.dataset or run.get("dataset") or ""
    options.ct, options.seg = (os.path.join(dataset, unescaped(row[role])) for role in ("ct", "seg"))
    options.names = options.names or (run.get("key") or {}).get("names") or run.get("label_names") or ""
    return None


if __name__ == "__main__":
    main([w for i, w in enumerate(sys.argv[1:]) if (i, w) != (0, "--")], os.path.dirname(os.path.abspath(__file__)))
