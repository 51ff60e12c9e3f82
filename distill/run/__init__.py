"""From molecules to MD: what ``distill run`` does.

One process trains; beside it explorers walk with the student as it stands and have the teacher
label what they see (``distill.data.explore``). So both sides of active learning use all of the
time, and the student is right where its own dynamics goes. Then: a check on frames from MD of the
finished student that were never trained on, and MD in OpenMM. So with one molecule, or with a
series of which one student is made.
"""

from distill.run.command import run
from distill.run.folder import RunFolder, write_json
from distill.run.labels import merge
from distill.run.settings import MINUTES, RunSettings

__all__ = ["MINUTES", "RunFolder", "RunSettings", "merge", "run", "write_json"]
