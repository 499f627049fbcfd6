#!/usr/bin/env python3
"""Prints the name and value of every constant of clouds.h, a line each. They are part of the ABI, but no function takes an
enum by its type, so debug information does not have them."""
import os
import re
import subprocess
import sys
import tempfile

include = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../capi/include")
text = subprocess.run(["cc", "-E", "-P", include + "/clouds.h"], check=True, capture_output=True, text=True).stdout
names = [name for body in re.findall(r"enum clouds_\w+\s*\{([^}]*)\}", text) for name in re.findall(r"\bCLOUDS_\w+", body)]
with tempfile.TemporaryDirectory() as folder:
    program = os.path.join(folder, "constants")
    with open(program + ".c", "w") as out:
        out.write('#include <stdio.h>\n#include "clouds.h"\nint main(void) {\n')
        out.writelines(f'printf("{name} %d\\n", (int){name});\n' for name in names)
        out.write("return 0; }\n")
    subprocess.run(["cc", "-I" + include, program + ".c", "-o", program], check=True)
    sys.stdout.write(subprocess.run([program], check=True, capture_output=True, text=True).stdout)
