"""The library as a later version may be: every public record has one member more at its end."""
import concurrent.futures
import os
import re
import shlex
import shutil
import subprocess

source = os.environ["CLOUDS_SOURCE"]
MEMBER = "grown"


def changed(pattern, to, path):
    with open(source + path) as file:
        text, n = re.subn(pattern, to, file.read(), flags=re.M)
    if n < 5:
        raise SystemExit(f"only {n} records in {path}")
    return text


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def header(folder):
    """The grown clouds.h, in `folder`/include."""
    write(folder + "/include/clouds.h", changed(r"^(?=\} clouds_\w+;$)", f"    uint64_t {MEMBER};\n",
                                                "/capi/include/clouds.h"))
    for name in ("clouds_extend.h", "clouds_worker.h"):
        shutil.copy(f"{source}/capi/include/{name}", folder + "/include")
    return folder + "/include"


def library(folder):
    """Builds it there. Only what knows the records is compiled anew; the layers below come from the build."""
    include = header(folder)
    write(folder + "/api/records.def", changed(r"^(RECORD\((\w+),[^\n]*\n(?:MEMBER\(.*\n)*)", rf"\1MEMBER(\2, {MEMBER}, uint64)\n",
                                               "/capi/api/records.def"))
    flags = shlex.split(subprocess.run(["pkg-config", "--cflags", "libuv", "hiredis"], check=True, capture_output=True,
                                       text=True).stdout)
    units = [f"{source}/capi/{layer}/{name}" for layer in ("api", "core")
             for name in sorted(os.listdir(f"{source}/capi/{layer}")) if name.endswith(".c")]
    objects = [f"{folder}/{unit.replace('/', '_')}.o" for unit in units]

    def compile_one(unit, made):
        subprocess.run(["cc", "-std=gnu11", "-O0", "-w", "-fPIC", "-fvisibility=hidden", "-D_GNU_SOURCE",
                        "-DCLOUDS_BUILD", "-I" + include, "-I" + folder, f"-I{source}/capi", *flags, "-c", unit, "-o", made],
                       check=True)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, units, objects))
    made = folder + "/libclouds.so"
    subprocess.run(["cc", "-shared", *objects, os.environ["CLOUDS_BUILD_DIR"] + "/capi/libcl_internal.a",
                    f"-Wl,--version-script={source}/capi/clouds.map", "-Wl,-soname,libclouds.so.0", "-luv", "-lhiredis",
                    "-lpthread", "-lm", "-o", made], check=True)
    os.symlink(made, made + ".0")
    return made
