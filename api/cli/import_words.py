"""Why a row was refused, in the words of the one who mends it."""

from __future__ import annotations

import os
import re

from pointsbank.domain.refusal import Refusal

LANGUAGES = ("zh", "en")

WORDS: dict[str, tuple[str, str]] = {
    # any row
    "missing": ("此栏不能为空", "this cell may not be empty"),
    "cells_beyond_header": (
        "这一行的格子比表头多（多了分隔符？）",
        "the row has more cells than the header (a stray separator?)",
    ),
    "not_a_date": ("看不懂这个日期，请写成 2024-03-01", "not a date: write it as 2024-03-01"),
    "not_a_time": (
        "看不懂这个时间，请写成 2024-03-01 09:00",
        "not a time: write it as 2024-03-01 09:00",
    ),
    "not_yes_or_no": ("请填“是”或“否”", "write yes or no"),
    "printable": ("含有不能显示的字符", "contains unprintable characters"),
    "not_blank": ("此栏不能为空", "this cell may not be empty"),
    # service records
    "unknown_volunteer": ("社区里找不到这位志愿者", "no such volunteer in the community"),
    "unknown_elder": ("社区里找不到这位长者", "no such elder in the community"),
    "unknown_confirmer": ("社区里找不到这位确认人", "no such confirmer in the community"),
    "unknown_person": ("社区里找不到这个人", "no such person in the community"),
    "ambiguous_name": (
        "有多人同名，请填编号或“姓名 电话”",
        "several people have this name: give the number, or name and phone",
    ),
    "end_before_start": ("结束时间不晚于开始时间", "ends before it starts"),
    "under_a_minute": ("不足一分钟", "lasts under a minute"),
    "over_24_hours": ("超过 24 小时", "lasts over 24 hours"),
    "in_the_future": ("时间在将来", "lies in the future"),
    "own_elder": ("志愿者与长者是同一人", "the volunteer and the elder are the same person"),
    "confirmed_by_the_paid": ("志愿者不能确认自己的服务", "a volunteer may not confirm their own service"),
    "not_a_volunteer": ("此人未登记为志愿者", "this person is not registered as a volunteer"),
    "no_policy_that_day": ("{day} 还没有生效的规则", "no policy was in force on {day}"),
    "unknown_kind": ("规则中没有服务类型“{kind}”", "the policy has no kind of service {kind!r}"),
    "overlaps_visit": (
        "与已入库的服务重叠（{from} 至 {to}）",
        "overlaps a visit in the bank ({from} to {to})",
    ),
    "overlaps_row": ("与本文件第 {row} 行重叠", "overlaps row {row} of this file"),
    "above_day_cap": (
        "当天合计 {minutes} 分钟，超过每日上限 {cap} 分钟",
        "makes {minutes} minutes that day, above the cap of {cap}",
    ),
    # rosters
    "phone_number": ("不是电话号码", "not a phone number"),
    "not_a_gender": ("请填“男”或“女”", "write male or female"),
    "plausible_date": ("日期不在 1900 年至今天之间", "not between 1900 and today"),
    "unknown_role": ("没有“{role}”这个角色", "there is no role {role!r}"),
    "unknown_grid": ("社区没有小网格“{grid}”", "the community has no small grid {grid!r}"),
    "unknown_place_kind": (
        "请填 小区、开放式小区 或 自然村",
        "write estate, compound or village",
    ),
    "place_needed": ("填了楼栋，还要填小区", "a building needs its place"),
    "building_needed": ("还要填楼栋", "the building is needed"),
    "grid_needed": ("楼栋是新的，还要填小网格", "the building is new: its small grid is needed"),
    "building_in_another_grid": (
        "这栋楼登记在第 {grid} 小网格",
        "this building stands in small grid {grid}",
    ),
    "elder_without_building": (
        "长者要填小区和楼栋，才能就近派单",
        "an elder needs a place and a building, to be helped from nearby",
    ),
    "leader_without_grid": ("楼栋长、网格长要填小网格", "a leader needs a small grid"),
    "not_metres": (
        "请填整数米，东、北为正，最远 50000",
        "whole metres, east and north positive, at most 50000",
    ),
    "not_a_hardship": (
        "请填 特困、低保、低收入、优抚、失独 或 无",
        "write destitute, minimum_living, low_income, entitled, bereaved or none",
    ),
    "division_code": (
        "请填区划代码：市4位、区6位、镇街9位数字",
        "write a division code: 4 digits a city, 6 a district, 9 a town",
    ),
    "both_coordinates": ("东距、北距要一起填", "east and north are told together or not at all"),
    "number_taken": ("这个编号已属于另一份登记", "this number belongs to another record"),
    "known_otherwise": (
        "同名同电话的人已登记，其他内容不同",
        "somebody of this name and phone is registered with other details",
    ),
    "at_most": ("最多 {longest} 个字", "at most {longest} characters"),
}
"""By code: Chinese, English."""

AT_MOST = re.compile(r"at_most_(\d+)_characters")


def language_of_environment() -> str:
    """Return ``zh`` when the terminal's locale is Chinese, else ``en``."""
    named = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return "zh" if named.lower().startswith("zh") else "en"


def reason(refusal: Refusal, language: str) -> str:
    """Return a refusal in words, its code in front."""
    code, facts = refusal.code, dict(refusal.facts)
    if match := AT_MOST.fullmatch(code):
        code, facts = "at_most", {"longest": match[1]}
    words = WORDS.get(code)
    if words is None:
        return refusal.code
    return f"{refusal.code}: {words[LANGUAGES.index(language)].format(**facts)}"
