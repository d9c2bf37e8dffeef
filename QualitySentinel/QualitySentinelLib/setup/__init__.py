"""Layer 8a, setting up: packages and their state, memory, imported models, sample data, scenes that are loaded.

Nothing here imports torch or slicer at file scope: Slicer imports this room when it starts, and the command line uses
what of it makes sense without Slicer.
"""

from .loaded_scenes import LoadedScenes
from .memory import available_memory, memory_needed, memory_warning
from .models import ModelChoice, import_model, model_choices, model_folder, remove_downloads
from .packages import OPENVINO, TORCH_VERSION, ensure_packages, install_openvino
from .sample_data import register_sample_data
from .state import InstalledPart, install_state, package_info
