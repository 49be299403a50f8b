# SPDX-License-Identifier: Apache-2.0
"""What devices exchange is read from the text of a compiled program."""

import pytest

from scripts.compilations.hlo import Collective, collectives

PROGRAM = """HloModule step, is_scheduled=true

%fused (part.1: bf16[8,64]) -> bf16[8,128] {
  %part.1 = bf16[8,64]{1,0:T(8,128)(2,1)} parameter(0)
  ROOT %whole.1 = bf16[8,128]{1,0:T(8,128)(2,1)} all-gather(%part.1), channel_id=8, replica_groups={{0,1},{2,3}}, dimensions={1}
}

ENTRY %main (part.2: bf16[8,64], total.2: f32[]) -> f32[] {
  %part.2 = bf16[8,64]{1,0:T(8,128)(2,1)} parameter(0)
  %total.2 = f32[] parameter(1)
  %whole.2 = bf16[8,128]{1,0:T(8,128)(2,1)S(1)} all-gather(%part.2), channel_id=8, replica_groups={{0,1},{2,3}}, dimensions={1}
  %pair.2 = (f32[4]{0}, f32[2,4]{1,0}) all-reduce-start(%a, %b), channel_id=9, replica_groups=[2,4]<=[8], to_apply=%add
  %done.2 = (f32[4]{0}, f32[2,4]{1,0}) all-reduce-done(%pair.2)
  %sum.2 = f32[] all-reduce(%total.2), channel_id=10, replica_groups=[4,2]<=[2,2,2]T(1,0,2), to_apply=%add
  %axis.2 = f32[] all-reduce(%total.2), replica_groups=mesh['data'=2,'fsdp'=2] {'data'}, to_apply=%add
  %axes.2 = f32[] all-reduce(%total.2), channel_id=1, replica_groups=mesh['a'=1,'b'=4] {'a','b'}, to_apply=%add
  %other.2 = f32[] all-reduce(%total.2), channel_id=15, replica_groups=mesh['a'=1,'b'=2,'c'=2], device_ids=([2,2]T(1,0)) {'b'}, to_apply=%add
  %every.2 = f32[] all-reduce(%total.2), replica_groups={}, to_apply=%add
  %more.2 = (f32[4]{0}, f32[16]{0}) all-gather-start(%a), channel_id=11, replica_groups=[1,4]<=[4], dimensions={0}
  %next.2 = (s8[4]{0}, s8[4]{0}, u32[]{:S(2)}, u32[]{:S(2)}) collective-permute-start(%c), channel_id=12, source_target_pairs={{0,1},{1,0}}
  %send.2 = (bf16[1,8,128]{2,1,0:T(8,128)(2,1)}, u32[], token[]) send(%d, %token), channel_id=13, is_host_transfer=true, frontend_attributes={_xla_megascale_reduce_operation="SUM",_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  %recv.2 = (bf16[1,8,128]{2,1,0:T(8,128)(2,1)}, u32[], token[]) recv(%token), channel_id=14, is_host_transfer=true, frontend_attributes={_xla_megascale_reduce_operation="SUM",_xla_megascale_target="{1,2}x{0:3}",_xla_megascale_transfer_type="ALL_REDUCE"}
  ROOT %result.2 = f32[] add(%sum.2, %every.2)
}
"""  # noqa: E501, it is the compiler's text


def test_each_collective_has_its_shapes_and_its_groups_once():
    assert collectives(PROGRAM) == [
        Collective("all-gather", ("bf16[8,128]",), ((0, 1), (2, 3))),
        Collective("all-reduce", ("f32[4]", "f32[2,4]"), ((0, 1, 2, 3), (4, 5, 6, 7))),
        Collective("all-reduce", ("f32[]",), ((0, 1), (4, 5), (2, 3), (6, 7))),
        Collective("all-reduce", ("f32[]",), ((0, 2), (1, 3))),
        Collective("all-reduce", ("f32[]",), ((0, 1, 2, 3),)),
        Collective("all-reduce", ("f32[]",), ((0, 1), (2, 3))),
        Collective("all-reduce", ("f32[]",), ()),
        Collective("all-gather", ("f32[16]",), ((0, 1, 2, 3),)),
        Collective("collective-permute", ("s8[4]",), ((0, 1), (1, 0))),
        Collective("all-reduce", ("bf16[1,8,128]",), (), crosses_slices=True),
    ]


def test_groups_of_another_form_are_refused():
    with pytest.raises(ValueError, match=r"The all-gather whole\.1 has no groups in a form that is known"):
        collectives(PROGRAM.replace("{{0,1},{2,3}}", "<0,1>"))
