"""Open a case of an audit in Slicer, in the Quality Sentinel panel. Written into an audit's folder; run by Slicer.

    Slicer --python-script OUT/open_in_slicer.py -- CASE
    Slicer --python-script OUT/open_in_slicer.py -- --dataset FOLDER CASE
    Slicer --python-script OUT/open_in_slicer.py -- --ct CT --seg SEG [--names NAMES]

CASE is a name of the column "case" of cases.csv beside this script; FOLDER is where the data set lies now, when it is
no longer where it was audited. Of a DICOM data set the tables hold no paths: name CT and SEG. Images are loaded, nodes
are selected in the panel, and nothing is scored before Apply.
"""

import csv
import json
import os
import sys

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")


def main(words, out):
    """Load the case that ``words`` mean and show it in the panel; ``out`` is the audit's folder."""
    options = {"dataset": "", "ct": "", "seg": "", "names": ""}
    words = list(words)
    while len(words) > 1 and words[0].startswith("--") and words[0][2:] in options:
        name = words.pop(0)[2:]
        options[name] = words.pop(0)
    if not options["ct"]:
        problem = look_up(options, words, out)
        if problem:
            return complain(problem)
    for role in ("ct", "seg"):
        options[role] = os.path.abspath(options[role])  # Slicer takes relative paths as beside its scene
        if not os.path.exists(options[role]):
            return complain(f"{options[role]}: is not there; say with --dataset where the data set lies now")
    volume = load_ct(options["ct"])
    segmentation = load_segmentation(options["seg"], words[0] if words else "segmentation")
    name_segments(segmentation, options["ct"], options["seg"], options["names"] or None)
    show(volume, segmentation)
    return volume, segmentation


def look_up(options, words, out):
    """Put the paths of the case named in ``words`` into ``options``; what is wrong, when there is something."""
    if len(words) != 1:
        return "give the name of one case: Slicer --python-script open_in_slicer.py -- CASE"
    row = find_case(os.path.join(out, "cases.csv"), words[0])
    if row is None:
        return f"{words[0]}: no case of {out}; see the column 'case' of cases.csv"
    if not row.get("ct") or not row.get("seg"):
        return f"{words[0]}: the tables hold no paths of it; name them with --ct and --seg"
    from QualitySentinelLib.scores.tables import unescaped

    run = read_run(out)
    dataset = options["dataset"] or run.get("dataset") or ""
    options["ct"], options["seg"] = (os.path.join(dataset, unescaped(row[role])) for role in ("ct", "seg"))
    options["names"] = options["names"] or (run.get("key") or {}).get("names") or run.get("label_names") or ""
    return None


def find_case(table, name):
    """The row of a case, or None."""
    from QualitySentinelLib.scores.tables import unescaped

    with open(table, encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            if unescaped(row["case"]) == name:
                return row
    return None


def read_run(out):
    """audit.json; empty when there is none."""
    try:
        with open(os.path.join(out, "audit.json"), encoding="utf-8") as stream:
            return json.load(stream)
    except (OSError, ValueError):
        return {}


def load_ct(path):
    """The CT's volume node, from a file or a DICOM folder."""
    import slicer.util

    if not os.path.isdir(path):
        return slicer.util.loadVolume(path)
    return load_dicom(path, "vtkMRMLScalarVolumeNode")


def load_segmentation(path, name):
    """One segmentation node: from a label map, a .seg.nrrd, a DICOM SEG, or a folder of one mask per structure."""
    import slicer.util

    if os.path.isfile(path):
        if path.lower().endswith(IMAGE_SUFFIXES):
            return slicer.util.loadSegmentation(path)
        return load_dicom(os.path.dirname(path), "vtkMRMLSegmentationNode")
    masks = sorted(f for f in os.listdir(path) if f.lower().endswith(IMAGE_SUFFIXES))
    if not masks:
        return load_dicom(path, "vtkMRMLSegmentationNode")
    whole = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    whole.CreateDefaultDisplayNodes()
    for mask in masks:
        part = slicer.util.loadSegmentation(os.path.join(path, mask))
        stem = mask[: -next(len(s) for s in IMAGE_SUFFIXES if mask.lower().endswith(s))]
        for segment_id in part.GetSegmentation().GetSegmentIDs():
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
    for segment_id in segments.GetSegmentIDs():
        segment = segments.GetSegment(segment_id)
        segment.SetName(found.get(segment.GetLabelValue(), segment.GetName()))


def show(volume, segmentation):
    """Open the panel with both nodes selected."""
    import slicer.util

    slicer.util.selectModule("QualitySentinel")
    parameters = slicer.util.getModuleLogic("QualitySentinel").getParameterNode()
    parameters.inputVolume = volume
    parameters.inputSegmentation = segmentation


def complain(text):
    """Say what is wrong; None, because nothing was opened."""
    print(f"open_in_slicer: {text}", file=sys.stderr)


if __name__ == "__main__":
    main([w for i, w in enumerate(sys.argv[1:]) if (i, w) != (0, "--")], os.path.dirname(os.path.abspath(__file__)))
