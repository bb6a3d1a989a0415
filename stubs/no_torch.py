"""What `import torch` finds where torch was uninstalled before its stubs: no torch.

It is installed as torch.py. While there is torch, its folder is what Python takes; without this,
the folder that the stubs leave there would be imported as an empty package.
"""

raise ModuleNotFoundError("No module named 'torch'", name="torch")
