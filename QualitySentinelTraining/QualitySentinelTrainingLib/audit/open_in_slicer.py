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

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


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

    whole = not os.path.isdir(options.ct)
    volume = slicer.util.loadVolume(options.ct) if whole else load_dicom(options.ct, "vtkMRMLScalarVolumeNode")
    segmentation = load_segmentation(options.seg, options.case[0] if options.case else "segmentation")
    name_segments(segmentation, options.ct, options.seg, options.names or None)
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


def load_segmentation(path, name):
    """One segmentation node: from a label map, a .seg.nrrd, a DICOM SEG, or a folder of one mask per structure."""
    import slicer.util

    if path.lower().endswith(IMAGE_SUFFIXES):
        return slicer.util.loadSegmentation(path)
    masks = sorted(f for f in os.listdir(path) if f.lower().endswith(IMAGE_SUFFIXES)) if os.path.isdir(path) else []
    if not masks:
        return load_dicom(path if os.path.isdir(path) else os.path.dirname(path), "vtkMRMLSegmentationNode")
    whole = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    whole.CreateDefaultDisplayNodes()
    for mask in masks:
        part = slicer.util.loadSegmentation(os.path.join(path, mask))
        for segment_id in part.GetSegmentation().GetSegmentIDs():
            stem = mask[: -next(len(s) for s in IMAGE_SUFFIXES if mask.lower().endswith(s))]
            part.GetSegmentation().GetSegment(segment_id).SetName(stem)
            whole.GetSegmentation().CopySegmentFromSegmentation(part.GetSegmentation(), segment_id)
        slicer.mrmlScene.RemoveNode(part)
    return whole


def load_dicom(folder, node_class):
    """The first node of a class among what a DICOM folder holds; loaded through a database that is thrown away."""
    import slicer
    from DICOMLib import DICOMUtils

    with DICOMUtils.TemporaryDICOMDatabase() as database:
        DICOMUtils.importDicom(folder, database)
        ids = DICOMUtils.loadSeriesByUID(DICOMUtils.allSeriesUIDsInDatabase(database))
    nodes = [slicer.mrmlScene.GetNodeByID(i) for i in ids]
    found = [node for node in nodes if node is not None and node.IsA(node_class)]
    if not found:
        raise RuntimeError(f"{folder}: Slicer found nothing of the kind {node_class} in it")
    return found[0]


def name_segments(segmentation, ct, seg, names):
    """Name the segments of a label map as the audit did; a label map's file may say only numbers."""
    if os.path.isdir(seg) or seg.lower().endswith(".seg.nrrd"):
        return
    try:
        from QualitySentinelLib.reading import read_ct, read_segmentation

        found = {s.value: s.name for s in read_segmentation(seg, read_ct(ct), names)}
    except Exception as error:  # the case can be looked at all the same
        print(f"the segments keep the names Slicer gave them ({error})", file=sys.stderr)
        return
    segments = segmentation.GetSegmentation()
    for segment in map(segments.GetSegment, segments.GetSegmentIDs()):
        segment.SetName(found.get(segment.GetLabelValue(), segment.GetName()))


if __name__ == "__main__":
    main([w for i, w in enumerate(sys.argv[1:]) if (i, w) != (0, "--")], os.path.dirname(os.path.abspath(__file__)))
