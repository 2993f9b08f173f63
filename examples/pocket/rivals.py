"""Tools that are like each other: which may stand side by side, and which requests no other tool could serve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from .measures import same_quantity
from .skill import Skill

# Tools that do much the same. Where one is missing, another one might do: what a user says that no tool fits is no
# request for a rival. In training rivals are often offered together, for the words of a request tell them apart; in the
# evaluation they are not.
RIVALS = [
    {"add", "multiply", "subtract", "calculate", "convert_currency", "convert_unit", "power"},
    {"send_email", "send_message", "find_contact", "call_person"},
    {"add_todo", "save_note", "set_alarm", "set_timer", "add_event", "shopping_list"},
    {"search", "define", "news", "get_recipe", "order_food"},
    {"set_light", "dim_light", "set_heating", "set_volume"},
    {"translate", "spell", "count_words"},
    {"find_restaurants", "book_table", "order_food"},
    {"roll_dice", "random_number"},
    {"distance", "find_flight"},
    {"capital", "find_parking", "find_restaurants", "list_skill"},
    {
        "assign_task",
        "invite",
        "add_event",
        "add_todo",
        "call_person",
        "send_message",
        "send_email",
        "find_person",
        "find_contact",
    },
    {"rename_file", "delete_file", "read_file"},
    {"get_user", "find_person", "find_contact"},
    {"restart_server", "is_online"},
    {"today", "time", "sunrise", "next_holiday"},
    {"window", "set_light", "set_fan", "set_heating", "set_volume"},
    {"air_quality", "weather"},
    {"calories", "get_recipe", "order_food"},
    {"rate_film", "movie_times", "play_music", "buy_tickets"},
    {"add", "calculate", "square_root", "round_number", "mix_colors"},
    {"define", "synonym", "rhyme", "translate"},
    {"translate", "detect_language", "spoken_language"},
    {"capital", "currency_of", "spoken_language", "dial_code"},
    {"log_water", "log_meal", "track_mood", "save_note", "add_todo", "lend_item", "submit_expense", "log_run"},
    {"take_medicine", "set_alarm", "add_todo", "save_note"},
    {"wine_for", "substitute", "get_recipe", "calories", "order_food", "shopping_list"},
    {"snow_depth", "pollen_count", "weather", "air_quality", "tide", "moon_phase"},
    {"time", "time_difference", "match_time", "days_until", "today", "age_of"},
    {"read_file", "sum_up", "print_document", "rename_file", "delete_file"},
    {"open_app", "restart_server", "play_music", "start_machine"},
    {"wifi", "mute", "set_volume", "set_light"},
    {"lost_item", "where_is_car", "find_parking"},
    {"fuel_cost", "distance", "call_taxi", "traffic"},
    {"request_vacation", "add_event", "mark_absent"},
    {"nearest_pharmacy", "find_parking", "find_restaurants"},
]


# The same words could be meant for either of these: "What is 3 + 4?", "Look up Ana."
TWINS = [
    *({"calculate", other} for other in ("add", "multiply", "subtract", "power")),
    {"add_todo", "save_note"},
    {"search", "define", "news"},
    {"get_user", "find_person", "find_contact"},
    {"square_root", "calculate"},
    {"make_coffee", "order_food"},
    {"lend_item", "save_note"},
    {"submit_expense", "save_note"},
    {"track_mood", "save_note"},
    {"log_meal", "save_note"},
    {"log_water", "save_note"},
    {"upper_case", "spell"},
    {"open_app", "play_music"},
    {"skip_song", "play_music"},
    {"grant_access", "share_file"},
    {"percent_of", "calculate"},
    {"what_plant", "read_file"},
    {"boss_of", "find_person"},
    {"in_pantry", "supplier_of"},
]


# The same for the tools of the house and of work, one group a line. Those after the colon are rivals of those before it,
# not of each other.
NEAR = [
    "egg_time scale_recipe canteen_menu plan_meal: get_recipe set_timer order_food log_meal find_restaurants calories wine_for",
    "shelf_life in_pantry has_allergen grams_to_cups: shopping_list substitute calories convert_unit get_recipe which_bin",
    "toast_bread make_ice set_fridge: oven order_food make_coffee set_heating start_machine",
    "frost_risk plant_light pest_remedy seeds_for_row scare_off mow_lawn: weather planting_time snow_depth first_aid window",
    "light_scene lamp_color: set_light dim_light blinds mix_colors",
    "energy_used solar_yield report_meter: battery read_sensor save_note charge_car",
    "moisten_air pool_temperature: set_fan set_heating read_sensor air_quality weather tide window",
    "ring_phone: call_person lost_item where_is_car find_contact set_volume mute",
    "bin_day chore_turn: which_bin assign_task next_holiday start_vacuum",
    "who_is_at_door arm_house: take_photo find_person",
    "book_babysitter call_repair_person book_mechanic book_vet see_doctor: add_event invite book_table find_person call_person start_vacuum",
    "first_aid vaccine_due medicine_check hospital_wait find_patient see_doctor: nearest_pharmacy take_medicine emergency_number find_person get_user",
    "chip_owner pet_portion pet_age book_vet: age_of calories find_person find_contact get_user lost_item",
    "pay_allowance standing_order write_invoice payment_reminder: transfer submit_expense balance send_email send_message",
    "log_dog_walk log_sleep log_weight log_blood_pressure log_fillup claim_mileage report_meter correct_stock clock_in_out enter_grade: "
    "log_water log_meal track_mood save_note add_todo lend_item submit_expense log_run take_medicine heart_rate fuel_cost",
    "bedtime_for do_not_disturb start_workout chess_clock metronome extend_parking: set_timer set_alarm mute chess_move find_parking",
    "body_mass log_weight calories_burned running_pace set_step_goal join_class start_workout: calories log_run steps_today heart_rate pet_portion add_event",
    "needs_visa plug_type drive_side emergency_number speed_limit neighbors_of continent_of flag_of: capital currency_of spoken_language dial_code next_holiday "
    "rent_car traffic",
    "packing_list luggage_limit choose_seat check_in_flight: flight_status find_flight buy_tickets weather book_guide shopping_list",
    "lift_status: snow_depth weather open_app",
    "book_campsite late_checkout room_service book_guide book_desk: book_table room_free order_food buy_tickets rent_car invite add_event",
    "road_toll directions nearest_gas_station: distance fuel_cost traffic call_taxi find_flight find_parking nearest_pharmacy where_is_car charge_car "
    "find_restaurants",
    "heat_seat drive_mode book_mechanic: set_heating set_fan tire_pressure charge_car",
    "deal_cards quiz_question: roll_dice random_number flip_coin chess_move search define",
    "tv_guide add_to_playlist skip_song metronome: movie_times tv_channel play_music rate_film open_app buy_tickets shopping_list",
    "find_photos rotate_picture photo_filter what_plant find_file file_size copy_file share_file pack_folder request_signature grant_access: take_photo read_file "
    "rename_file delete_file sum_up print_document make_folder send_email find_person open_app screenshot",
    "star_sign weekday_of on_this_day event_year tax_deadline exam_date: days_until age_of moon_phase today next_holiday is_leap_year match_time",
    "name_meaning crossword_help antonym pronounce check_spelling verb_form plural_of: define synonym rhyme translate detect_language spell count_words search",
    "wool_needed floor_area circle_area percent_of common_divisor with_tax net_pay time_to_save: paint_needed multiply add subtract calculate square_root "
    "is_prime round_number convert_unit convert_currency submit_expense balance",
    "renew_book library_fine reserve_book next_read reading_time: find_book sum_up balance get_user",
    "vacation_left decide_leave auto_reply shift_of swap_shift agenda common_time: request_vacation days_until next_holiday add_event mark_absent invite "
    "room_free assign_task find_person",
    "overtime pay_slip net_pay spending_on sales_of best_seller card_limit: balance block_card transfer stock_price submit_expense find_person",
    "post_job move_applicant announce_visitor boss_of: invite find_person find_contact get_user create_user add_event call_person send_message room_free",
    "forward_calls block_number add_contact: call_person find_contact unsubscribe send_message create_user",
    "join_training timetable class_size exam_date enter_grade letter_to_parents: student_grade mark_absent send_message send_email add_event invite",
    "order_status cancel_order return_item delivery_slot leave_parcel shipping_cost: track_package order_food send_message lost_item",
    "change_price give_discount use_coupon gift_card_left reorder_level correct_stock supplier_of: shopping_list balance stock_price",
    "server_load error_log deploy roll_back stop_process run_tests: is_online restart_server open_app read_file git_commit start_machine",
    "new_branch merge_branch close_issue ask_review run_tests deploy: git_commit assign_task add_todo make_folder",
    "make_backup restore_backup roll_back: save_note git_commit read_file print_document",
    "count_rows add_column: read_file create_user save_note",
    "reset_password grant_access: make_password create_user get_user find_person",
    "schedule_script: open_app set_alarm set_timer add_todo start_machine",
    "certificate_end ip_of internet_speed: is_online wifi search",
    "dark_mode keyboard_layout do_not_disturb: mute wifi set_light dim_light translate spoken_language detect_language blinds lamp_color",
    "shoe_size melting_point postal_code coordinates: convert_unit distance oven search",
    "see_planet next_eclipse station_pass: moon_phase sunrise weather flight_status",
    "invented_by event_year: search define find_book gift_idea",
    "move_event cancel_event agenda: add_event set_alarm invite days_until room_free book_table add_todo",
    "share_position: send_message call_person where_is_car invite",
    "report_damage: lost_item submit_expense save_note",
]


def _table(groups: Iterable[set[str]], lines: Iterable[str] = ()) -> dict[str, set[str]]:
    """For every name those that share a group with it, or a line of :data:`NEAR`."""
    table: defaultdict[str, set[str]] = defaultdict(set)
    for group in groups:
        for name in group:
            table[name] |= group
    for line in lines:
        before, _, after = line.partition(":")
        group = set(before.split())
        for name in group:
            table[name] |= group | set(after.split())
        for name in after.split():
            table[name] |= group
    return dict(table)


_TWINS, _RIVALS = _table(TWINS), _table(RIVALS, NEAR)


def twins(a: Skill, b: Skill) -> bool:
    """Whether the same request could be meant for ``a`` and for ``b``, so that they are never offered together."""
    if a.names[0] == b.names[0] or a.about[0] == b.about[0]:
        return True
    if (a.kind and a.kind == b.kind) or a.names[0] in b.rivals or b.names[0] in a.rivals:
        return True
    return b.names[0] in _TWINS.get(a.names[0], ())


def alike(a: Skill, b: Skill) -> bool:
    """Whether both look up the same quantity, of the same thing or of another one."""
    return a.parts[:1] == b.parts[:1] == ("lookup",) and same_quantity(a.parts[1], b.parts[1])


def same(a: Skill, b: Skill) -> bool:
    """:func:`twins`, or two lookups that the same question could be meant for: price and cost of a thing, say."""
    return twins(a, b) or (alike(a, b) and (a.parts[2] == b.parts[2] or bool(a.kind or b.kind)))


def rivals(a: Skill, b: Skill) -> bool:
    """Whether a request for ``a`` could be sent to ``b`` if there is nothing better."""
    return twins(a, b) or b.names[0] in _RIVALS.get(a.names[0], ())
