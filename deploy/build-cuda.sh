#!/usr/bin/env bash
# Builds for NVIDIA GPUs on a machine that has neither a GPU nor NVIDIA's toolkit: docs/cuda.md.
#
#   deploy/build-cuda.sh                        the program: target/cuda/x86_64-unknown-linux-gnu/release/pom2dib
#   deploy/build-cuda.sh test --no-run ARGS     any other command of cargo, with profile, feature and target added
#   deploy/build-cuda.sh --check COMMAND ARGS   the same without candle's own kernels, not optimised: in minutes it shows
#                                               that everything compiles, links and starts; it computes on no GPU
#
# Needs Python 3 with venv, and PyPI for the first time. CUDA_COMPUTE_CAP names the GPUs (90: H100 and H200, the default).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

check=
[ "${1-}" = --check ] && check=1 && shift
target=x86_64-unknown-linux-gnu
kit=${CUDA_KIT:-$PWD/target/cuda-kit}
# What build scripts take for a toolkit.
home=$kit${check:+/check}
front=$home/bin
# NVIDIA's compiler in the version of the libraries that the program opens: a newer one writes what an older driver refuses.
wheels=(nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96
    nvidia-cuda-cccl==13.0.85)

install_compiler() {
    [ -x "$kit/venv/bin/pip" ] || python3 -m venv "$kit/venv"
    "$kit/venv/bin/pip" install --quiet --no-deps "${wheels[@]}"
}

# Build scripts ask the linker for these. Nothing of them is called: the program opens its libraries when it starts.
make_empty_libraries() {
    local name
    mkdir -p "$kit/lib"
    for name in cuda cublas cublasLt cudart curand nvrtc; do
        [ -e "$kit/lib/lib$name.a" ] || ar rc "$kit/lib/lib$name.a"
    done
}

# candle's kernels for quantised and mixture-of-experts models take most of an hour of compiling, and this program has no such
# models: in their place stand functions of the same names that end it. Everything else goes to NVIDIA's compiler.
write_compiler_front() {
    local real names stub=$kit/left_out.c
    real=$(echo "$kit"/venv/lib/python3*/site-packages/nvidia/cu13/bin/nvcc)
    names=$(grep -ohE 'pub fn [A-Za-z0-9_]+' "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/candle-kernels-0.11.*/src/ffi.rs |
        awk '{print $3}' | sort -u)
    {
        printf '#include <stdlib.h>\n'
        printf 'void %s(void) { abort(); }\n' $names
    } >"$stub.new"
    cmp --silent "$stub.new" "$stub" && rm "$stub.new" || mv "$stub.new" "$stub"
    mkdir -p "$front"
    [ -e "$home/lib" ] || ln -s "$kit/lib" "$home/lib"
    cat >"$front/nvcc.new" <<FRONT
#!/usr/bin/env bash
for ((i = 1; i <= \$#; i++)); do
    [ "\${!i}" = -o ] && { next=\$((i + 1)); object=\${!next}; }
    [ "\${!i}" = --lib ] && archives=1
    [ "\${!i}" = --output-directory ] && { next=\$((i + 1)); folder=\${!next}; }
    [ "\${!i}" = -c ] && compiles=1
done
source=\${!#}
# candle's kernels, of which a check needs none: only it has a folder named for them.
if [ -n "$check" ] && [ -n "\${folder-}" ]; then
    exec touch "\$folder/\$(basename "\$source" .cu).ptx"
fi
if [ -n "\${archives-}" ]; then
    shift 3
    exec ar rcs "\$object" "\$@"
elif [ -n "\${compiles-}" ]; then
    case \$source in
    */moe/moe_gguf.cu) exec cc -O1 -fPIC -c "$stub" -o "\$object" ;;
    */moe/*.cu | */mmq_gguf/*.cu | */mmvq_gguf.cu) exec cc -fPIC -x c -c /dev/null -o "\$object" ;;
    esac
fi
exec "$real" "\$@"
FRONT
    chmod +x "$front/nvcc.new"
    cmp --silent "$front/nvcc.new" "$front/nvcc" && rm "$front/nvcc.new" || mv "$front/nvcc.new" "$front/nvcc"
}

# The cfg makes the bindings open NVIDIA's libraries when they are first needed, so that the program starts where there are
# none. It may reach the bindings only, not the scripts that build them: hence a target of its own.
build() {
    unset CUDA_PATH CUDA_ROOT CUDA_TOOLKIT_ROOT_DIR NVCC NVCC_CCBIN
    export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target/cuda${check:+-check}} PATH=$front:$PATH CUDA_HOME=$home
    export CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP:-90} CUDAFORGE_THREADS=${CUDAFORGE_THREADS:-$(nproc)}
    export RUSTFLAGS='--cfg feature="dynamic-loading"'
    local command=${1:-build}
    [ $# -eq 0 ] || shift
    local profile=(--release)
    if [ -n "$check" ]; then
        profile=(--config profile.dev.opt-level=0 --config profile.dev.debug=false)
        RUSTFLAGS+=' -D warnings'
    fi
    cargo "$command" "${profile[@]}" --features cuda --target "$target" "$@"
}

install_compiler
make_empty_libraries
cargo fetch --quiet
write_compiler_front
build "$@"
